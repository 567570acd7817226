"""The secrets-writer: puts a Secret, a ConfigMap and a Service beside every claim whose resource can be connected to.

Stateless: any number of replicas share one work queue of claims. A claim is handled when it changes and when the
concrete resource that it is bound to changes. In the order of a claim's way through the folder: ``related`` (which
claims a message is about), ``decide`` (what is to be done), ``connection`` and ``objects`` (what the objects say),
``ownership`` (whose an existing object is), ``publish`` (writes them), ``handle`` (ties these together).
"""

from importlib.metadata import version

VERSION = version("conductor-secrets-writer")

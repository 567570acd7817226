"""Names that Conductor writes into other people's objects: annotations, labels, finalizers."""

DOMAIN = "conductor.io"

EXTERNAL_NAME = f"{DOMAIN}/external-name"
PAUSED = f"{DOMAIN}/paused"
POLL_INTERVAL = f"{DOMAIN}/poll-interval"
RECONCILE_REQUESTED_AT = f"{DOMAIN}/reconcile-requested-at"
ROTATE_REQUESTED_AT = f"{DOMAIN}/rotate-requested-at"
"""On a concrete resource: each new value asks for new credentials, once."""
ROTATED = f"{DOMAIN}/rotated"
"""On a credentials Secret: the request that its content answers."""
ACCOUNT = f"{DOMAIN}/account"
"""On a credentials Secret: the account that it was made for, as ``status.account`` says it."""
TRACEPARENT = f"{DOMAIN}/traceparent"
AVAILABLE_AGAIN = f"{DOMAIN}/available-again"
"""On a Released concrete: the uids, separated by commas, of the former claims after whom it has been cleaned up."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "conductor"
CLAIM_UID_LABEL = f"{DOMAIN}/claim-uid"
CONCRETE_UID_LABEL = f"{DOMAIN}/concrete-uid"
CLASS_LABEL = f"{DOMAIN}/resource-class"

PROVISIONER_FINALIZER = f"provisioner.{DOMAIN}/external-resource"
"""Held by a concrete's provisioner until the external resource is gone, or given up by policy."""

IN_USE_FINALIZER = f"scheduler.{DOMAIN}/in-use"
"""Held by the scheduler while claims are bound to a concrete: until then, deleting it takes no effect."""

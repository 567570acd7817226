"""Amazon's words for the state of a DB instance, and what each means to Conductor.

Source: "Viewing Amazon RDS DB instance status", Amazon RDS User Guide. A word that is not listed there, or here, means
that something is under way and that nobody can connect meanwhile.
"""

from __future__ import annotations

AVAILABLE = "available"
CREATING = "creating"

SERVING = frozenset(
    {
        AVAILABLE,
        "backing-up",
        "configuring-enhanced-monitoring",
        "configuring-iam-database-auth",
        "configuring-log-exports",
        "modifying",
        "resetting-master-credentials",
        "storage-config-upgrade",
        "storage-initialization",
        "storage-optimization",
    }
)
"""Applications can connect."""

FAILED = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
    }
)
"""It does not get better without a person."""

MODIFIABLE = frozenset({AVAILABLE, "storage-full"})
"""ModifyDBInstance accepts a request."""

SETTLED = FAILED | {AVAILABLE, "stopped", "storage-full", "storage-initialization", "storage-optimization"}
"""Nothing is under way that ends soon: no change is to be expected, and DeleteDBInstance accepts a request."""
BEYOND_SNAPSHOT = frozenset({"failed", "incompatible-network", "incompatible-restore"})
"""DeleteDBInstance takes no final snapshot (Amazon RDS API Reference, DeleteDBInstance, SkipFinalSnapshot)."""

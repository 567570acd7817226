"""The fuzzer's own modules, and how much of it is run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

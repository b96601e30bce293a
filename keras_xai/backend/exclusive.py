"""The one lock of the process for what concerns all of it."""

import threading

# Held while programs are traced, and while a third party changes what belongs to the whole process: NumPy's global random state, filters
# of warnings. A program that is traced in between would be made of what is changed.
EXCLUSIVE = threading.RLock()

"""The gate: everything that comes from outside enters here. Its kind is recognised by its content, and what it
claims is weighed before anything is built from it.

`limits` knows what a file may claim and `kinds` what it is. `unpickle` and `torches` read pickles without running
them, `hdf5` reads in a process that may die, or at once what `seal` vouches for, `tensors` reads safetensors,
`documents` YAML and JSON.
"""

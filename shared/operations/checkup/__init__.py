"""What the doctor looks at, one module per subject, each with `checks(scene) -> list[Check]`.

A check says in one line how something is and, where it is not well, the exact command that mends it. It waits for
nothing for long and changes nothing that stays. How checks are run and told is ../doctor.py's.
"""

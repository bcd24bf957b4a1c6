"""Numbers: how texts write them, what they measure and count, and whether a context bears a claimed one."""

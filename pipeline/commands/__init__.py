"""The sub-commands of `balto` about labels, and their options. Each loads what it needs when it is called."""

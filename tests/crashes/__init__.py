"""Kill the real daemon at every step between two durable effects, and see what the restart makes.

steps     what a durable effect is called
witness   sees every step of a process from within, and strikes at the one it was told
zygote    starts such processes quickly
worlds    what must be in MongoDB and on disk in the end, and what is there
stories   the situations: files, sources, actions, and how all must end
stage     plays a story with strikes, restarts, and compares
"""

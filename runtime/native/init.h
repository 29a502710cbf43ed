// A minimal init: PID 1 that passes signals on and reaps what is left to it.
#pragma once
// Returns 0 in the child, which goes on to be the command; the caller's process never returns. -1: fork failed.
// The init closes all but its standard streams; above all the line to the shim, which the command's exec closes.
int init_fork(void);
int init_main(int argc, char **argv);

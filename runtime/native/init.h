// A minimal init: PID 1 that passes signals on and reaps what is left to it.
#pragma once
// Returns 0 in the child, which goes on to be the command; the caller's process never returns. -1: fork failed.
// `sync` is closed in the init, so that only the command's exec keeps or closes it.
int init_fork(int sync);

// Removal of whatever a name stands for, a folder with all that is in it.
#pragma once
#include "wire.h"

// 0 also if there is nothing of that name. Links are removed, never followed; what is mounted below is left alone.
int remove_tree(int folder, const char *name);
// All paths that a request to the zygote names; the fault says the first that stays.
void remove_named(struct reader *reader, struct fault *fault);

// Removal of whatever a name stands for, a folder with all that is in it.
#pragma once
// 0 also if there is nothing of that name. Links are removed, never followed.
int remove_tree(int folder, const char *name);

// The difference between a container's own layer and those below.
#pragma once
#include "walk.h"

int changes_write(struct walk *walk, int upper, int base);

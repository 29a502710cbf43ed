// A file of the container's state directory that its daemon wants to be there before it goes on.
#pragma once
#include "fault.h"
#include "wire.h"

// Reads a name and a text, if there is something left to read, and puts them there, in the place of what had the name.
int note_take(struct reader *reader, const char *state_directory);

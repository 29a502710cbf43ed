// Against a container that overwrites what runs it (CVE-2019-5736).
#pragma once
// Returns 0 in the sealed copy, which has no environment, or -1.
int seal(char **argv);

// What `ps` shows of a process of this family: its name instead of the zygote's command line.
#pragma once
void title_remember(int argc, char **argv);
void title_set(const char *title);

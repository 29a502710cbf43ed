#pragma once

int volume_main(int argc, char **argv);

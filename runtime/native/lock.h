#pragma once

int lock_main(int argc, char **argv);

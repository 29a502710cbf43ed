#pragma once

int spread_main(int argc, char **argv);

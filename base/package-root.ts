// Where this package lies. What ships beside the code, as .proto files and C sources, is found from there, whether the code
// runs as it was compiled, file by file, or bundled.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const PACKAGE_ROOT = rootAbove(import.meta.dirname);

function rootAbove(folder: string): string {
  for (let above = folder; above !== dirname(above); above = dirname(above)) {
    if (existsSync(join(above, 'package.json'))) return above;
  }
  throw new Error(`the package of ${folder} has no package.json`);
}

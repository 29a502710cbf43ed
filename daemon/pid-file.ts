// The pid file: one daemon, told apart from what an earlier one left.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { removeIfThere } from '../base/files.ts';

export function writePidFile(path: string): AsyncDisposable {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
  return {
    [Symbol.asyncDispose]: async () => {
      await removeIfThere(path);
    },
  };
}

#!/usr/bin/env -S node --max-semi-space-size=4
// `shoald`: the bundle of the program where the build made one of this very code, otherwise file by file. Node 20 takes a
// sixth of a second more for some hundred modules than for one with the same text.
import { statSync } from 'node:fs';

function changedMs(path: string): number {
  return statSync(new URL(path, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

// The compiler notes its last run here; what it compiled since is not in the bundle.
const isBundled = changedMs('../shoald/shoald.js') > changedMs('../tsconfig.tsbuildinfo');
await import(isBundled ? new URL('../shoald/shoald.js', import.meta.url).href : './shoald.js');

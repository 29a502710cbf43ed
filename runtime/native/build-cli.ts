// Builds the helper ahead of its first use: node build-cli.js FOLDER. Beside it stands `shoal-runtime`, the same program as
// an OCI runtime, which goes by its name.
import { rename, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { nativeBinary } from './binary.ts';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: build-cli FOLDER');
const { path } = await nativeBinary(folder);
const link = join(folder, 'shoal-runtime');
await symlink(basename(path), `${link}.${process.pid}`);
await rename(`${link}.${process.pid}`, link);

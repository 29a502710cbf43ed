// Builds the helper ahead of its first use: node build-cli.js FOLDER
import { nativeBinary } from './binary.ts';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: build-cli FOLDER');
await nativeBinary(folder);

// proto/gen is what the generator makes of the .proto files now.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../..');
const FILES = ['ca.proto', 'control.proto', 'dispatcher.proto'];
const OPTIONS = [
  ...['--longs', 'Number', '--enums', 'String', '--defaults', '--oneofs', '--grpcLib', '@grpc/grpc-js'],
  ...['--inputTemplate', '%sInput', '--outputTemplate', '%s', '--importFileExtension', '.ts', '-I', '.'],
];

function filesBelow(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path.slice(folder.length), readFileSync(path, 'utf8')]));
}

describe('proto/gen', () => {
  it('is up to date; otherwise run the command that this test names', () => {
    const out = mkdtempSync(join(tmpdir(), 'shoal-gen-'));
    try {
      const generator = join(ROOT, 'node_modules/.bin/proto-loader-gen-types');
      const args = [...OPTIONS, '-O', out, ...FILES];
      const made = spawnSync(generator, args, { cwd: join(ROOT, 'proto'), encoding: 'utf8' });
      assert.equal(made.status, 0, made.stderr);
      const [expected, found] = [filesBelow(out), filesBelow(join(ROOT, 'proto/gen'))];
      const stale = [...expected].flatMap(([path, text]) => (found.get(path) === text ? [] : [path]));
      const left = [...found.keys()].filter((path) => !expected.has(path));
      const command = `cd proto && proto-loader-gen-types ${[...OPTIONS, '-O', 'gen', ...FILES].join(' ')}`;
      assert.deepEqual([...stale, ...left], [], command);
    } finally {
      rmSync(out, { recursive: true });
    }
  });
});

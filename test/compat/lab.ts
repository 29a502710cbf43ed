// The two engines of a comparison, each with the image `bb`: busybox with a name for each of its programs.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchEngine, client, startDocker, startShoal } from '../bench/engines.ts';

/** Where clients reach an engine: by its socket, and its published ports by a program with these words before it. */
export interface Place {
  readonly socketPath: string;
  readonly inside: BenchEngine['inside'];
}

/** Started, used and stopped. Each has network namespaces and roots of its own, so that both may run at once. */
export async function withEngine<T>(name: 'docker' | 'shoal', use: (place: Place) => Promise<T>): Promise<T> {
  await using engine = await start(name);
  const socketPath = engine.sockets[0] ?? '';
  await importImage(socketPath);
  return await use({ socketPath, inside: engine.inside });
}

const start = (name: 'docker' | 'shoal'): Promise<BenchEngine> =>
  name === 'docker' ? startDocker(1, [], 'compat') : startShoal(1, 'compat');

async function importImage(socketPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  try {
    const root = join(folder, 'root');
    for (const name of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(root, name), { recursive: true });
    const busybox = spawnSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).stdout.trim();
    cpSync(busybox, join(root, 'bin/busybox'));
    const names = spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(root, 'bin', name));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
    const archive = join(folder, 'image.tar');
    spawnSync('tar', ['-C', root, '-cf', archive, ...readdirSync(root)]);
    await client(socketPath, 'import', '-c', 'CMD ["sh"]', archive, 'bb:latest');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// Somebody who clears up after testcontainers as its ryuk does: told by a TCP connection which labels to look for, it
// removes what has them, through the engine's socket, when the connection ends. Made of busybox and curl: theirs is an
// image of a registry that tests do not reach.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { client } from '../../bench/engines.ts';

export const RYUK_IMAGE = 'compat/ryuk:1';
const CURL_IMAGE = 'compat/curl:1'; // the same by another name, for containers that are no ryuk

export async function importRyuk(socketPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  try {
    const root = join(folder, 'root');
    mkdirSync(join(root, 'bin'), { recursive: true });
    mkdirSync(join(root, 'tmp'));
    cpSync(pathOf('busybox'), join(root, 'bin/busybox'));
    for (const name of ['sh', 'nc', 'grep', 'cut', 'mkfifo', 'sleep']) symlinkSync('busybox', join(root, 'bin', name));
    const curl = pathOf('curl');
    for (const path of [curl, ...librariesOf(curl)]) copied(path, join(root, path));
    writeFileSync(join(root, 'bin/ryuk'), RYUK, { mode: 0o755 });
    writeFileSync(join(root, 'bin/session'), SESSION, { mode: 0o755 });
    const archive = join(folder, 'image.tar');
    execFileSync('tar', ['-C', root, '-cf', archive, '.']);
    await client(socketPath, 'import', '-c', 'CMD ["/bin/ryuk"]', archive, RYUK_IMAGE);
    await client(socketPath, 'tag', RYUK_IMAGE, CURL_IMAGE);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const pathOf = (program: string): string =>
  execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();

const librariesOf = (program: string): string[] =>
  [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);

function copied(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { dereference: true });
}

const RYUK = `#!/bin/sh
mkfifo /over
nc -ll -p 8080 -e /bin/session &
echo Started
read done < /over
`;

/** Lines end in a carriage return too; filters are in the form that Go's clients send. */
const SESSION = `#!/bin/sh
labels=
while read -r line; do
  line=\${line%?}
  labels="$labels \${line#label=}"
  echo ACK
done
api() { curl -s --fail --unix-socket /var/run/docker.sock -G "$@"; }
for label in $labels; do
  filters="filters={\\"label\\":{\\"$label\\":true}}"
  for id in $(api --data all=1 --data-urlencode "$filters" http://docker/containers/json | grep -o '"Id":"[0-9a-f]*"' | cut -d '"' -f 4); do
    case $id in $HOSTNAME*) ;; *) api -X DELETE --data force=1 --data v=1 http://docker/containers/$id ;; esac
  done
  for kind in networks volumes images; do
    api -X POST --data-urlencode "$filters" http://docker/$kind/prune
  done
done >&2
echo over > /over
`;

// A listener on a link, compiled when first needed; see wire-tap.c.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

const SOURCE = resolve(import.meta.dirname, '../../../test/support/wire-tap.c');
const run = promisify(execFile);
let programs = 0;

export interface Tapped {
  readonly frames: number;
  readonly sealed: number; // datagrams of the tunnel
  readonly clear: number; // VXLAN as it is
  readonly matches: number; // frames with the pattern
}

export interface WireTap {
  stop(): Promise<Tapped>;
}

export async function tapWire(options: {
  readonly namespace: string;
  readonly link: string;
  readonly pattern: string;
  readonly port: number;
  readonly mode: 'listen' | 'again' | 'spoil';
  readonly directory: string;
}): Promise<WireTap> {
  const { namespace, link, pattern, port, mode, directory } = options;
  const program = join(directory, `wire-tap-${++programs}`); // one that runs can not be written
  await run('cc', ['-O2', '-D_GNU_SOURCE', '-o', program, SOURCE]);
  // What the kernel would divide behind this link is divided before it, as it would be seen on a cable.
  await run('nsenter', [`--net=${namespace}`, 'ip', 'link', 'set', 'dev', link, 'gso_max_segs', '1']);
  const args = [`--net=${namespace}`, program, link, Buffer.from(pattern).toString('hex'), String(port), mode];
  const child = spawn('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'readable');
  return {
    async stop() {
      child.stdin.end();
      const [, line = ''] = (await text(child.stdout)).split('\n');
      return JSON.parse(line) as Tapped;
    },
  };
}

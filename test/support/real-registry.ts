// Debian's docker-registry on a loopback port of its own, with everything it keeps in a folder of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const REGISTRY_PROGRAM = '/usr/bin/docker-registry';

/** `me` with the password `secret`, by bcrypt: the only kind of hash that it knows. */
const PASSWORDS = 'me:$2b$05$CCCCCCCCCCCCCCCCCCCCC.pIKrLVkBX9/OvQMSygY1pWEVn72t6na\n';

export class RealRegistry implements Disposable {
  readonly host: string;
  readonly #root: string;
  readonly #child: ChildProcess;

  private constructor(parts: { host: string; root: string; child: ChildProcess }) {
    this.host = parts.host;
    this.#root = parts.root;
    this.#child = parts.child;
  }

  /** `inside`: words before the program, such as nsenter's. */
  static async start(
    options: { passwords?: boolean; inside?: readonly [program: string, ...words: string[]] } = {},
  ): Promise<RealRegistry> {
    const root = mkdtempSync('/tmp/shoal-registry-');
    const host = `127.0.0.1:${await freePort()}`;
    const passwords = join(root, 'htpasswd');
    writeFileSync(passwords, PASSWORDS, { mode: 0o600 });
    const auth = options.passwords ? { auth: { htpasswd: { realm: 'test', path: passwords } } } : {};
    const config = {
      version: '0.1',
      log: { level: 'info', formatter: 'text' },
      storage: { filesystem: { rootdirectory: join(root, 'data') }, delete: { enabled: true } },
      http: { addr: host },
      ...auth,
    };
    const file = join(root, 'config.yml'); // JSON is YAML
    writeFileSync(file, JSON.stringify(config));
    const [program, ...before] = options.inside ?? ['env'];
    const child = spawn(program, [...before, REGISTRY_PROGRAM, 'serve', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    const registry = new RealRegistry({ host, root, child });
    try {
      await listening(child);
      return registry;
    } catch (error) {
      registry[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Resolves when it says so, rejects when it ends. */
async function listening(child: ChildProcess): Promise<void> {
  const last: string[] = [];
  if (!child.stderr) throw new Error('the registry has no standard error');
  for await (const line of createInterface({ input: child.stderr })) {
    last.push(line);
    if (line.includes('listening on')) {
      child.stderr.resume();
      return;
    }
  }
  throw new Error(`docker-registry ended:\n${last.slice(-5).join('\n')}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

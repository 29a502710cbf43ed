// The stock docker client as a child process, with a home of its own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';

const TIMEOUT_MS = 30_000;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class DockerClient implements Disposable {
  readonly home = mkdtempSync(join(tmpdir(), 'shoal-docker-'));
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  static isInstalled(): boolean {
    return spawnSync('docker', ['--version']).status === 0;
  }

  run(args: readonly string[], input?: string | Uint8Array): Promise<Outcome> {
    return this.#spawn('docker', args, (stdin) => stdin.end(input ?? ''));
  }

  /** Fails the test unless the client ends with 0; its output otherwise. */
  async ok(...args: string[]): Promise<string> {
    const outcome = await this.run(args);
    assert.equal(outcome.code, 0, `docker ${args.join(' ')}: ${outcome.stderr}`);
    return outcome.stdout;
  }

  /** On a terminal of its own; `typed` is sent once `prompt` has been shown, piece after piece. */
  onTerminal(command: string, typing: readonly { after: RegExp; type: string }[] = []): Promise<Outcome> {
    return this.#spawn('script', ['-qefc', command, '/dev/null'], (stdin, stdout) => {
      const left = [...typing];
      let shown = '';
      stdout.on('data', (chunk: Buffer) => {
        shown += chunk.toString();
        const [next] = left;
        if (!next?.after.test(shown)) return;
        left.shift();
        shown = '';
        stdin.write(next.type);
      });
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }

  #spawn(
    command: string,
    args: readonly string[],
    talk: (stdin: NodeJS.WritableStream, stdout: NodeJS.ReadableStream) => void,
  ): Promise<Outcome> {
    const env = {
      PATH: process.env['PATH'],
      HOME: this.home,
      DOCKER_CONFIG: this.home,
      DOCKER_HOST: `unix://${this.#socketPath}`,
      TERM: 'xterm',
    };
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.stdin.on('error', () => {}); // it may end before it has read everything
      child.on('error', reject);
      child.on('close', (code) => {
        resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      });
      talk(child.stdin, child.stdout);
    });
  }
}

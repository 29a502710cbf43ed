// Running the system's tools, for work that happens once per start or stop.
import { spawn } from 'node:child_process';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to its end; never rejects for an exit status. */
export function attempt(command: string, args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.stdin.on('error', () => undefined); // it ended before reading all; its exit status tells
    child.stdin.end(input);
    child.on('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), stdout, stderr }));
  });
}

/** As `attempt`, but an exit status other than 0 rejects with what the tool said. */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, args, input);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${(stderr || stdout).trim() || `exit ${code}`}`);
  return stdout;
}

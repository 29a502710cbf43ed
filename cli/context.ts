// What every command is given: the engine, where it writes, and the time.
import { EngineClient } from './client.ts';

export interface CommandContext {
  readonly engine: EngineClient;
  print(text: string): void;
  warn(text: string): void;
  nowMs(): number;
  /** The exit status, unless a command throws. */
  exitWith(code: number): void;
}

const DEFAULT_HOST = 'unix:///var/run/shoal.sock';

/** Flag before environment before default. */
export const hostOf = (flag: string | undefined): string => flag ?? process.env['DOCKER_HOST'] ?? DEFAULT_HOST;

export function createContext(host: string): CommandContext {
  return {
    engine: new EngineClient(host),
    print: (text) => void process.stdout.write(`${text}\n`),
    warn: (text) => void process.stderr.write(`${text}\n`),
    nowMs: () => Date.now(),
    exitWith: (code) => {
      process.exitCode = code;
    },
  };
}

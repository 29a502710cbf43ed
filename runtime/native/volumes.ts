// Mounts of volumes, by a short run of the helper: one that hangs, because a server does not answer, holds up nobody else.
import { execFile } from 'node:child_process';
import { fail } from '../../base/errors.ts';
import type { NativeBinary } from './binary.ts';
import type { NativeVolumes, VolumeMount } from './contract.ts';

const MOUNT_MS_MAX = 60_000;

export class HelperVolumes implements NativeVolumes {
  readonly #binary: Pick<NativeBinary, 'path'>;

  constructor(binary: Pick<NativeBinary, 'path'>) {
    this.#binary = binary;
  }

  async mount({ device, target, type, flags, data }: VolumeMount): Promise<void> {
    const fields = [device, target, type, data];
    if (fields.some((field) => field.includes('\0'))) fail('invalid', `mount ${target}: a zero byte in its options`);
    await this.#run(
      ['mount', String(flags)],
      `mount ${device}:${target}`,
      fields.map((field) => `${field}\0`).join(''),
    );
  }

  async unmount(target: string): Promise<void> {
    await this.#run(['unmount', target], `unmount ${target}`, '');
  }

  #run(args: readonly string[], what: string, input: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const options = { timeout: MOUNT_MS_MAX, killSignal: 'SIGKILL' as const };
      const child = execFile(this.#binary.path, ['volume', ...args], options, (error, said) => {
        if (error === null) resolve();
        else reject(new Error(said || (error.killed ? `${what}: no answer within a minute` : error.message)));
      });
      child.stdin?.on('error', () => undefined); // it ended early: its own words say why
      child.stdin?.end(input);
    });
  }
}

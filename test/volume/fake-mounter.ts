// A kernel's mounts, as far as volumes use them.
import type { VolumeMounter } from '../../runtime/volume/volume-mounts.ts';

type Call = Parameters<VolumeMounter['mount']>[0];

export class FakeMounter implements VolumeMounter {
  readonly calls: Call[] = [];
  /** Mount points, as often as something is mounted there. */
  mounted: string[] = [];
  /** What the next mount fails with. */
  fails: string | undefined;

  async mount(call: Call): Promise<void> {
    this.calls.push(call);
    await Promise.resolve();
    const { fails } = this;
    this.fails = undefined;
    if (fails !== undefined) throw new Error(fails);
    this.mounted.push(call.target);
  }

  async unmount(target: string): Promise<void> {
    await Promise.resolve();
    const at = this.mounted.lastIndexOf(target);
    if (at < 0) throw new Error(`unmount ${target}: invalid argument`);
    this.mounted.splice(at, 1);
  }

  mountInfo(): Promise<string> {
    const lines = this.mounted.map((point) => `36 25 0:31 / ${point.replaceAll(' ', '\\040')} rw - tmpfs tmpfs rw\n`);
    return Promise.resolve(['22 1 8:1 / / rw - ext4 /dev/sda1 rw\n', ...lines].join(''));
  }

  resolve = (host: string): Promise<string> =>
    host === 'nas' ? Promise.resolve('10.0.0.9') : Promise.reject(new Error(`getaddrinfo ENOTFOUND ${host}`));
}

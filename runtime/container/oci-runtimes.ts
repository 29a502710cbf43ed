// Other OCI runtimes of this machine, by the names that `--runtime` takes: those of the configuration, and the usual
// ones where the search path has them. Looked for when asked, so that one installed later is found.
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CodedError } from '../../base/errors.ts';

export interface OciRuntime {
  readonly path: string;
  readonly args: readonly string[];
}

export const OWN_RUNTIME = 'shoal';
/** What clients call the default when they say back what an engine told them. */
const DOCKERS_DEFAULT = 'runc';
const USUAL = ['runc', 'crun'];
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class OciRuntimes {
  readonly #configured: Readonly<Record<string, OciRuntime>>;
  readonly #folders: readonly string[];

  constructor(configured: Readonly<Record<string, OciRuntime>>, searchPath = process.env['PATH'] ?? SEARCH_PATH) {
    this.#configured = configured;
    this.#folders = searchPath.split(delimiter).filter((folder) => folder.startsWith('/'));
  }

  async list(): Promise<ReadonlyMap<string, OciRuntime>> {
    const found = await Promise.all(USUAL.map(async (name) => [name, await this.#locate(name)] as const));
    const present = found.flatMap(([name, path]) => (path === undefined ? [] : [[name, { path, args: [] }] as const]));
    const configured = await Promise.all(
      Object.entries(this.#configured).map(async ([name, { path, args }]) => {
        const located = path.includes('/') ? path : ((await this.#locate(path)) ?? path);
        return [name, { path: located, args }] as const;
      }),
    );
    return new Map([...present, ...configured]);
  }

  /** Undefined: our own. Docker's default name means that too where no program has it. */
  async find(name: string): Promise<OciRuntime | undefined> {
    if (name === '' || name === OWN_RUNTIME) return undefined;
    const runtime = (await this.list()).get(name);
    if (runtime !== undefined || name === DOCKERS_DEFAULT) return runtime;
    throw new CodedError('invalid', `unknown or invalid runtime name: ${name}`);
  }

  async #locate(program: string): Promise<string | undefined> {
    for (const folder of this.#folders) {
      const path = join(folder, program);
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return path;
    }
    return undefined;
  }
}

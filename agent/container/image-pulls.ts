// Images that tasks need and this node lacks, fetched from their registry. However many tasks wait for one, it is fetched
// once; the fetch ends when nobody waits for it any more.
import { CodedError } from '../../base/errors.ts';
import { parseRegistryAuth } from '../../proto/registry-auth.ts';
import type { Registries } from '../../runtime/registry/contract.ts';

interface Fetch {
  readonly done: Promise<string>;
  readonly abort: AbortController;
  waiting: number;
}

export class ImagePulls {
  readonly #registries: Pick<Registries, 'pull'>;
  readonly #fetches = new Map<string, Fetch>();

  constructor(registries: Pick<Registries, 'pull'>) {
    this.#registries = registries;
  }

  /** Resolves with the image's id. `registryAuth` as a service keeps it. */
  async pull(reference: string, registryAuth: string | undefined, abort: AbortSignal): Promise<string> {
    const key = `${reference}\n${registryAuth ?? ''}`;
    const fetch = this.#fetches.get(key) ?? this.#begin(key, reference, registryAuth);
    fetch.waiting += 1;
    try {
      return await unless(abort, fetch.done);
    } finally {
      fetch.waiting -= 1;
      if (fetch.waiting === 0) this.#end(key, fetch);
    }
  }

  #begin(key: string, reference: string, registryAuth: string | undefined): Fetch {
    const abort = new AbortController();
    const auth = parseRegistryAuth(registryAuth ?? '');
    const options = { abort: abort.signal, report: () => undefined, ...(auth ? { auth } : {}) };
    const done = this.#registries.pull(reference, options);
    done.catch(() => undefined); // whoever waits has it; when nobody does it was aborted
    const fetch: Fetch = { done, abort, waiting: 0 };
    this.#fetches.set(key, fetch);
    return fetch;
  }

  #end(key: string, fetch: Fetch): void {
    if (this.#fetches.get(key) === fetch) this.#fetches.delete(key);
    fetch.abort.abort(new CodedError('aborted', 'no task needs the image any more'));
  }
}

async function unless<T>(abort: AbortSignal, work: Promise<T>): Promise<T> {
  abort.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(new CodedError('aborted', 'the task no longer needs its image', { cause: abort.reason }));
    abort.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    abort.removeEventListener('abort', onAbort);
  }
}

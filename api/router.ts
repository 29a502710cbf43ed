// From method and path to a handler. A pattern is a path whose `{id}` holds one segment and `{name...}` one or more
// (image names hold slashes).
import { fail } from '../base/errors.ts';

export interface Match<H> {
  readonly handler: H;
  readonly params: Readonly<Record<string, string>>;
}

interface Route<H> {
  readonly method: string;
  readonly segments: readonly string[];
  readonly handler: H;
}

type Wrap<H> = (handler: H, method: string, pattern: string) => H;

export class Router<H> {
  readonly #routesByRoom: Map<string, Route<H>[]>;
  readonly #wrap: Wrap<H>;

  /** `into`: adds its routes to those of another router, each wrapped. */
  constructor(into?: { readonly router: Router<H>; readonly wrap: Wrap<H> }) {
    this.#routesByRoom = into ? into.router.#routesByRoom : new Map<string, Route<H>[]>();
    this.#wrap = into?.wrap ?? ((handler) => handler);
  }

  add(method: string, pattern: string, handler: H): void {
    const segments = pattern.slice(1).split('/');
    const room = segments[0] ?? '';
    const routes = this.#routesByRoom.get(room) ?? [];
    routes.push({ method, segments, handler: this.#wrap(handler, method, pattern) });
    this.#routesByRoom.set(room, routes);
  }

  /** All of them, for who wants to try each. */
  patterns(): { method: string; pattern: string }[] {
    return [...this.#routesByRoom.values()]
      .flat()
      .map(({ method, segments }) => ({ method, pattern: `/${segments.join('/')}` }));
  }

  find(method: string, path: string): Match<H> | undefined {
    const segments = path.slice(1).split('/').map(decodeSegment);
    for (const route of this.#routesByRoom.get(segments[0] ?? '') ?? []) {
      if (route.method !== method) continue;
      const params = matchSegments(route.segments, segments);
      if (params) return { handler: route.handler, params };
    }
    return undefined;
  }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return fail('invalid', `the path holds a malformed percent escape: ${segment}`);
  }
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const extra = segments.length - pattern.length;
  const params: Record<string, string> = {};
  let at = 0;
  for (const part of pattern) {
    const name = /^\{(\w+)(\.\.\.)?\}$/.exec(part);
    const length = name?.[2] ? extra + 1 : 1;
    if (length < 1) return undefined;
    const text = segments.slice(at, at + length).join('/');
    at += length;
    if (!name && text !== part) return undefined;
    if (name && text === '') return undefined;
    if (name?.[1]) params[name[1]] = text;
  }
  return at === segments.length ? params : undefined;
}

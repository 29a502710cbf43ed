// What a test needs of the machine. A test without it is skipped by name, with the reason.
import { existsSync } from 'node:fs';

const reasons = new WeakMap<object, string>();

/** First line of a `before` or of a test that needs root. */
export function requireRoot(context: Mocha.Context): void {
  if (process.getuid?.() !== 0) skip(context, 'needs root');
}

/** For a tool that the test set-up installs; absent only where that was not run. */
export function requireTool(context: Mocha.Context, path: string): void {
  if (!existsSync(path)) skip(context, `needs ${path}`);
}

/** For a feature that a kernel may lack; `name` stands in test/missing-features.json. */
export function requireKernel(context: Mocha.Context, name: string, present: boolean): void {
  if (!present) skip(context, `this kernel lacks ${name}`);
}

function skip(context: Mocha.Context, reason: string): never {
  const runnable = context.test ?? context.currentTest;
  if (runnable?.parent) reasons.set(runnable.parent, reason);
  if (runnable) reasons.set(runnable, reason);
  return context.skip();
}

export function skipReason(test: Mocha.Test): string {
  for (let at: Mocha.Test | Mocha.Suite | undefined = test; at; at = at.parent) {
    const reason = reasons.get(at);
    if (reason) return reason;
  }
  return 'no reason given';
}

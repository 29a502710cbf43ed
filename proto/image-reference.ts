// Whether a text can name an image: [host[:port]/]path[:tag][@digest]. Source: the distribution project's grammar.

const PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const TAG = '[\\w][\\w.-]{0,127}';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const REFERENCE = new RegExp(`^(?:${HOST}/)?${PART}(?:/${PART})*(?::${TAG})?(?:@${DIGEST})?$`);

const LENGTH_MAX = 512;

/** A bare id of 64 hexadecimal digits cannot be told from a digest and is no name. */
export function isImageReference(text: string): boolean {
  return text.length <= LENGTH_MAX && REFERENCE.test(text) && !/^[a-f0-9]{64}$/.test(text);
}

// How a difference between the two engines is written down: which requests, which lines of their answers, and why.
export interface Listed {
  /** Which requests: matched against the row, its number, the request and the beginning of its body. */
  readonly request: RegExp;
  /** Of which part of the comparison; `requests` unless it says. */
  readonly part?: string;
  /** Which lines: `- ` what Docker Engine says and Shoal does not, `+ ` the other way round. */
  readonly lines: RegExp;
  readonly reason: string;
  /**
   * Why it may touch what clients rely on (`kinds.ts`) though the published description can not prove it:
   * the reason is a fact about engines newer than 20.10; the request is nonsense,
   * which has to be answered 4xx; or it asks for what is no part of this engine yet.
   */
  readonly because?: Because;
  /** It comes and goes, so that its absence says nothing. */
  readonly sometimes?: true;
}

export type Because = 'newer engines' | 'nonsense' | 'not a part';

/** The words of an error alone. */
export const WORDS = /^[-+] message /;

/** Another status, with the words of both, and the body of the one that succeeds. */
export const answers = (theirs: number, ours: number): RegExp =>
  new RegExp(
    String.raw`^(- status ${theirs}|\+ status ${ours}|[-+] message .*|[-+] (no body|\. (object|array)|type application/json)|[-+] \.(Id string|Warnings? (array|string)|Warnings\[\] string|StatusCode number|Error null))$`,
  );

/** `synchronous_standby_names`, in each of its forms (manual, "Replication", Primary Server). Pure. */

export interface SynchronousNames {
  /** A commit waits for as many of the named standbys. */
  readonly count: number;
  /** As `application_name` of a standby may be; `*` is any. */
  readonly names: readonly string[];
}

/** Up to 9.5 a name without quotes may have any characters. */
const tokens = /\s*(?:"((?:[^"]|"")+)"|([^\s"(),]+)|([(),]))/y;

type Token = { readonly word: string; readonly isQuoted: boolean } | { readonly mark: string };

function tokensOf(text: string): readonly Token[] | undefined {
  const found: Token[] = [];
  let at = 0;
  while (text.slice(at).trim() !== '') {
    tokens.lastIndex = at;
    const match = tokens.exec(text);
    if (match === null) return undefined;
    const [, quoted, plain, mark] = match;
    if (mark !== undefined) found.push({ mark });
    else if (quoted !== undefined) found.push({ word: quoted.replaceAll('""', '"'), isQuoted: true });
    else found.push({ word: plain ?? '', isQuoted: false });
    at = tokens.lastIndex;
  }
  return found;
}

/** Names with commas between them. */
function namesIn(list: readonly Token[]): readonly string[] | undefined {
  const names = list.flatMap((token, index) => (index % 2 === 0 && 'word' in token ? [token.word] : []));
  const commas = list.filter((token, index) => index % 2 === 1 && 'mark' in token && token.mark === ',');
  return names.length > 0 &&
    names.length === commas.length + 1 &&
    names.length + commas.length === list.length
    ? names
    : undefined;
}

function isWord(token: Token | undefined, form: RegExp): token is Extract<Token, { word: string }> {
  return token !== undefined && 'word' in token && !token.isQuoted && form.test(token.word);
}

function isMark(token: Token | undefined, mark: string): boolean {
  return token !== undefined && 'mark' in token && token.mark === mark;
}

/** @returns undefined if the server would not take the text either; no names if it waits for nobody */
export function parseSynchronousNames(text: string): SynchronousNames | undefined {
  const list = tokensOf(text);
  if (list?.length === 0) return { count: 0, names: [] };
  if (list === undefined) return undefined;
  const rest = isWord(list[0], /^(?:first|any)$/i) && isWord(list[1], /^\d+$/) ? list.slice(1) : list;
  const [count, open] = rest;
  if (!isMark(open, '(')) {
    const names = namesIn(list);
    return names === undefined ? undefined : { count: 1, names };
  }
  if (!isWord(count, /^\d+$/) || !isMark(rest.at(-1), ')')) return undefined;
  const names = namesIn(rest.slice(2, -1));
  return names === undefined ? undefined : { count: Number(count.word), names };
}

/** The standbys among these whose confirmation a commit may wait for; PostgreSQL ignores the case. */
export function namedAmong({ names }: SynchronousNames, standbys: readonly string[]): readonly string[] {
  const named = new Set(names.map((name) => name.toLowerCase()));
  return standbys.filter((standby) => named.has('*') || named.has(standby.toLowerCase()));
}

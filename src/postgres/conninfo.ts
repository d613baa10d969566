/** libpq's connection strings (manual, section "Connection Strings": keyword and value). Pure. */

/**
 * The values of a string such as `host=m1 port=5432 user=repl`. In a value a backslash takes the next character as it is;
 * a quoted value ends at the quote.
 *
 * @returns undefined if it is no such string
 */
export function parseConninfo(text: string): ReadonlyMap<string, string> | undefined {
  const values = new Map<string, string>();
  const pair = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?:[^\s'\\]|\\.)*)(?=\s|$))/sy;
  let end = 0;
  while (text.slice(end).trim() !== '') {
    pair.lastIndex = end;
    const match = pair.exec(text);
    if (match === null) return undefined;
    const [, keyword = '', quoted, plain = ''] = match;
    values.set(keyword, (quoted ?? plain).replaceAll(/\\(.)/gs, '$1'));
    end = pair.lastIndex;
  }
  return values;
}

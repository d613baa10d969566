/** Breaks a text into lines of at most `width` characters, at blanks. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Makes a sentence of a summary: a capital letter, unless it begins with a name, and a full stop. */
export function asSentence(text: string): string {
  const [first = ''] = text.split(' ');
  const isName = /[_\d]|^(ssh|rsync|psql|libpq)\b/.test(first);
  const begun = isName ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.:]$/.test(begun) ? begun : `${begun}.`;
}

/** The options in the table's order, by group. */
export function byGroup<O extends { readonly group: string }>(
  table: Readonly<Record<string, O>>,
): Map<string, [string, O][]> {
  const groups = new Map<string, [string, O][]>();
  for (const entry of Object.entries(table)) {
    const { group } = entry[1];
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  return groups;
}

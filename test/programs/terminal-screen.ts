/** A terminal as far as the programs use one: text, line feeds, going to a column, and erasing. */
export interface Screen {
  /** Every state that a line was in when something else was done: what an eye could have seen. */
  readonly frames: readonly string[];
  /** The lines as they are at the end. */
  readonly screen: readonly string[];
}

// eslint-disable-next-line no-control-regex -- what a terminal is sent is made of control characters
const tokens = /\x1b\[([?\d;]*)([A-Za-z])|\x1b([78])|\r|\n|[^\x1b\r\n]+/g;

/** Plays a recording. Something that it does not know is an error, so that nothing goes unseen. */
export function screensOf(recording: string, columns: number): Screen {
  const lines = [''];
  const frames: string[] = [];
  let [row, column] = [0, 0];
  let saved: readonly [number, number] = [0, 0];
  const line = (): string => lines[row] ?? '';
  for (const match of recording.replace(/^Script .*\n|\nScript done.*$/g, '').matchAll(tokens)) {
    const [text, parameter = '', command, cursor] = match;
    if (text === '\r') column = 0;
    else if (text === '\n') {
      row += 1;
      lines[row] ??= '';
    } else if (cursor === '7') saved = [row, column];
    else if (cursor === '8') [row, column] = saved;
    else if (command === 'G') column = Number(parameter) - 1;
    else if (command === 'K') {
      frames.push(line());
      lines[row] = parameter === '2' ? '' : line().slice(0, column);
    } else if (command === 'h' || command === 'l') {
      if (!['?7', '?25'].includes(parameter)) throw new Error(`unexpected mode ${JSON.stringify(text)}`);
    } else if (command !== undefined) throw new Error(`unexpected sequence ${JSON.stringify(text)}`);
    else {
      lines[row] = line().padEnd(column).slice(0, column) + text + line().slice(column + text.length);
      column = Math.min(columns - 1, column + text.length);
      frames.push(line());
    }
  }
  return { frames: frames.map((frame) => frame.trimEnd()), screen: lines.map((end) => end.trimEnd()) };
}

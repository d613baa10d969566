/** The parts in which the files of a copy are copied and flushed. Pure. */

export interface SizedFile {
  readonly path: string;
  readonly bytes: number;
}

export interface Portion {
  readonly paths: readonly string[];
  readonly bytes: number;
}

/** In their order, as many at once as this holds; a larger file is alone. */
export function portionsOf(files: readonly SizedFile[], mostBytes: number): readonly Portion[] {
  const portions: Portion[] = [];
  let paths: string[] = [];
  let sum = 0;
  const end = (): void => {
    if (paths.length > 0) portions.push({ paths, bytes: sum });
    paths = [];
    sum = 0;
  };
  for (const { path, bytes } of files) {
    if (sum + bytes > mostBytes) end();
    paths.push(path);
    sum += bytes;
  }
  end();
  return portions;
}

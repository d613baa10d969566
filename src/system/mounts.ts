import { readFile, realpath } from 'node:fs/promises';

/** The kernel writes blanks, tabs, line feeds and backslashes as octal numbers. */
function unescaped(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** The mount points of /proc/self/mountinfo, one character for each byte. */
export function mountPointsIn(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const point = line.split(' ')[4];
    return point === undefined ? [] : [unescaped(point)];
  });
}

/** The places below these directories where another file system is mounted. */
export async function mountsBelow(directories: readonly string[]): Promise<readonly string[]> {
  const real = await Promise.all(directories.map((directory) => realpath(directory)));
  // latin1: a name need not be valid in any encoding.
  const points = mountPointsIn(await readFile('/proc/self/mountinfo', 'latin1')).map((point) =>
    Buffer.from(point, 'latin1').toString('utf8'),
  );
  return [...new Set(points)].filter((point) => real.some((directory) => point.startsWith(`${directory}/`)));
}

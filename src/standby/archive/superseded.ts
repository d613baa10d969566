export const supersededPrefix = '.superseded-';

/** Whether a name in archivedir is that of a directory to which -B moved WAL that a newer base backup made unneeded. */
export function isSuperseded(name: string): boolean {
  return name.startsWith(supersededPrefix);
}

/** The INI file of a program that is called without `-C`. The Debian package makes its folder. */
export function defaultIni(program: string): string {
  return `/etc/pitrtools/${program}.ini`;
}

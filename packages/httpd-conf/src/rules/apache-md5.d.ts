declare module 'apache-md5' {
  /** The hash of a password in Apache's MD5 format, with the salt of another hash. */
  export default function apacheMd5(password: string, hash: string): string
}

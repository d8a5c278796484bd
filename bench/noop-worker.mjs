export default function noop(n) {
  return n
}

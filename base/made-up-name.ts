// Names for what nobody named, in Docker's shape (adjective_surname).
import type { Random } from './random.ts';

const ADJECTIVES =
  `agile amber ancient balmy brisk bronze calm careful cheerful clever coastal copper cordial crisp curious daring
deep diligent eager early earnest fair fearless festive fluent frank fresh gentle gilded glad golden graceful hardy
hearty honest humble ivory jolly keen kind lively loyal lucid mellow merry modest nimble noble patient placid plucky
polite prompt proud quick quiet radiant rapid robust rustic sage serene sharp silver sincere sleek smooth snug solid
spry steady stout sunny swift tidal tidy tranquil trusty upbeat vivid warm watchful witty zesty`.split(/\s+/);

const SURNAMES =
  `abel agnesi anning banach beaufort bernoulli bohr boole bose carson cauchy celsius cousteau curie dalton darwin
descartes dijkstra earle einstein erdos euclid euler faraday fermat fermi feynman fourier franklin galileo galois gauss
germain goodall hamilton hawking hensen herschel hertz hilbert hodgkin hopper hubble huygens hypatia jacobi kepler
knuth kovalevskaya lagrange lamport laplace leavitt leibniz lovelace maury maxwell meitner mendel minsky nansen napier
newton noether ohm pascal pasteur pauling peano planck poincare ptolemy ramanujan ride sagan shannon tesla turing volta
wallace watt wegener wiles wing wu yalow`.split(/\s+/);

export function madeUpName(random: Random): string {
  return `${pick(ADJECTIVES, random)}_${pick(SURNAMES, random)}`;
}

const pick = (words: readonly string[], random: Random): string => words[random.below(words.length)] ?? '';

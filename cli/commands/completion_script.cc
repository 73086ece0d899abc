#include "cli/commands/completion_script.h"

#include <CLI/CLI.hpp>

namespace edgeloop::commands {
namespace {

void Collect(const CLI::App& app, const std::vector<std::string>& path, std::vector<Choice>* out) {
  Choice choice{.path = path, .subcommands = {}, .options = {}};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      choice.options.push_back({"--" + name, option->get_description()});
    }
  }
  const auto children = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children) {
    choice.subcommands.push_back({child->get_name(), child->get_description()});
  }
  out->push_back(std::move(choice));
  for (const CLI::App* child : children) {
    std::vector<std::string> deeper = path;
    deeper.push_back(child->get_name());
    Collect(*child, deeper, out);
  }
}

std::string Joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& part : path) text += (text.empty() ? "" : " ") + part;
  return text;
}

std::string Words(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) text += (text.empty() ? "" : " ") + word.text;
  return text;
}

// Inside single quotes of a shell. The three shells agree on '\''.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '\n') {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + "'";
}

// One line: what a shell shows beside a word.
std::string Summary(const std::string& description) {
  return description.substr(0, description.find_first_of(";\n"));
}

}  // namespace

std::vector<Choice> Choices(const CLI::App& app) {
  std::vector<Choice> choices;
  Collect(app, {}, &choices);
  return choices;
}

std::string BashCompletion(const std::vector<Choice>& choices) {
  std::string out =
      "# bash completion of edgeloop; use: source <(edgeloop completion bash)\n"
      "_edgeloop() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} path='' next word\n"
      "  local -i i\n"
      "  # The command so far: each word that is a subcommand of what precedes it.\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=${COMP_WORDS[i]}\n"
      "    next=\"${path:+$path }$word\"\n"
      "    case \"$next\" in\n";
  for (const Choice& choice : choices) {
    if (!choice.path.empty()) out += "      " + Quoted(Joined(choice.path)) + ") path=$next ;;\n";
  }
  out +=
      "    esac\n"
      "  done\n"
      "  local words=''\n"
      "  case \"$path\" in\n";
  for (const Choice& choice : choices) {
    out += "    " + Quoted(Joined(choice.path)) + ") words=" +
           Quoted(Words(choice.subcommands) + (choice.subcommands.empty() ? "" : " ") +
                  Words(choice.options)) +
           " ;;\n";
  }
  out +=
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  if [[ ${#COMPREPLY[@]} -eq 0 && $current != -* ]]; then\n"
      "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _edgeloop edgeloop\n";
  return out;
}

std::string ZshCompletion(const std::vector<Choice>& choices) {
  std::string out =
      "#compdef edgeloop\n"
      "# zsh completion of edgeloop; use: source <(edgeloop completion zsh), after compinit\n"
      "_edgeloop() {\n"
      "  local route='' next\n"
      "  local -i i\n"
      "  for ((i = 2; i < CURRENT; i++)); do\n"
      "    next=\"${route:+$route }${words[i]}\"\n"
      "    case \"$next\" in\n";
  for (const Choice& choice : choices) {
    if (!choice.path.empty()) out += "      " + Quoted(Joined(choice.path)) + ") route=$next ;;\n";
  }
  out +=
      "    esac\n"
      "  done\n"
      "  local -a choices\n"
      "  case \"$route\" in\n";
  for (const Choice& choice : choices) {
    out += "    " + Quoted(Joined(choice.path)) + ") choices=(\n";
    for (const auto* words : {&choice.subcommands, &choice.options}) {
      for (const Word& word : *words) {
        std::string described = word.text + ":" + Summary(word.description);
        out += "      " + Quoted(described) + "\n";
      }
    }
    out += "    ) ;;\n";
  }
  out +=
      "  esac\n"
      "  _describe 'edgeloop' choices || _files\n"
      "}\n"
      "compdef _edgeloop edgeloop\n";
  return out;
}

std::string FishCompletion(const std::vector<Choice>& choices) {
  std::string out =
      "# fish completion of edgeloop; use: edgeloop completion fish | source\n"
      "function __edgeloop_at\n"
      "  set -l words (commandline -opc)\n"
      "  set -e words[1]\n"
      "  set -l path (string match -v -- '-*' $words)\n"
      "  test \"$path\" = \"$argv\"\n"
      "end\n"
      "function __edgeloop_below\n"
      "  set -l words (commandline -opc)\n"
      "  set -e words[1]\n"
      "  string match -q -- \"$argv*\" \"$words\"\n"
      "end\n";
  for (const Choice& choice : choices) {
    const std::string path = Joined(choice.path);
    for (const Word& word : choice.subcommands) {
      out += "complete -c edgeloop -f -n " + Quoted("__edgeloop_at " + path) + " -a " +
             Quoted(word.text) + " -d " + Quoted(Summary(word.description)) + "\n";
    }
    for (const Word& word : choice.options) {
      out += "complete -c edgeloop -n " +
             Quoted(path.empty() ? "__edgeloop_at" : "__edgeloop_below " + path) + " -l " +
             Quoted(word.text.substr(2)) + " -d " + Quoted(Summary(word.description)) + "\n";
    }
  }
  return out;
}

}  // namespace edgeloop::commands

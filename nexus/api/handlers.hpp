#pragma once

#include "api/exchange.hpp"

namespace nexus::api {

// Objects of kinds (object_read.cpp, object_watch.cpp, object_write.cpp, object_delete.cpp).
base::Task<Reply<>> get_object(Exchange& exchange);
base::Task<Reply<>> list_objects(Exchange& exchange);
base::Task<Reply<>> watch_objects(Exchange& exchange);
base::Task<Reply<>> create_object(Exchange& exchange);
base::Task<Reply<>> replace_object(Exchange& exchange);
base::Task<Reply<>> patch_object(Exchange& exchange);
base::Task<Reply<>> delete_object(Exchange& exchange);
base::Task<Reply<>> delete_collection(Exchange& exchange);
base::Task<Reply<>> get_scale(Exchange& exchange);

// Running pods (pod_log.cpp, pod_session.cpp, port_forward.cpp, pod_files.cpp).
base::Task<Reply<>> read_log(Exchange& exchange);
base::Task<Reply<>> run_exec(Exchange& exchange);
base::Task<Reply<>> run_attach(Exchange& exchange);
base::Task<Reply<>> forward_port(Exchange& exchange);
base::Task<Reply<>> read_files(Exchange& exchange);
base::Task<Reply<>> write_files(Exchange& exchange);

// About the API and the node (documents.cpp, node_info.cpp, top.cpp).
base::Task<Reply<>> give_document(Exchange& exchange);
base::Task<Reply<>> give_health(Exchange& exchange);
base::Task<Reply<>> give_metrics(Exchange& exchange);
base::Task<Reply<>> give_node(Exchange& exchange);
base::Task<Reply<>> who_am_i(Exchange& exchange);
base::Task<Reply<>> can_i(Exchange& exchange);
base::Task<Reply<>> run_doctor(Exchange& exchange);
base::Task<Reply<>> give_configuration(Exchange& exchange);
base::Task<Reply<>> give_top(Exchange& exchange);

// Workloads as people see them (workload_info.cpp, rollout.cpp).
base::Task<Reply<>> list_pod_rows(Exchange& exchange);
base::Task<Reply<>> explain_why(Exchange& exchange);
base::Task<Reply<>> give_history(Exchange& exchange);
base::Task<Reply<>> change_rollout(Exchange& exchange);

// Images (images.cpp, image_archive.cpp, image_pull.cpp).
base::Task<Reply<>> list_images(Exchange& exchange);
base::Task<Reply<>> inspect_image(Exchange& exchange);
base::Task<Reply<>> remove_image(Exchange& exchange);
base::Task<Reply<>> collect_garbage(Exchange& exchange);
base::Task<Reply<>> import_image(Exchange& exchange);
base::Task<Reply<>> export_image(Exchange& exchange);
base::Task<Reply<>> pull_image(Exchange& exchange);

// The audit log (audit_routes.cpp).
base::Task<Reply<>> list_audit(Exchange& exchange);
base::Task<Reply<>> prove_audit(Exchange& exchange);
base::Task<Reply<>> verify_audit(Exchange& exchange);
base::Task<Reply<>> export_audit(Exchange& exchange);

/// The object that the route names.
/// Errors: 404, with the nearest name there is.
Reply<ObjectPtr> find_named(const Exchange& exchange);
/// The pod that the route names, and one of its containers: `wanted`, or the only one.
struct PodContainer {
  ObjectPtr pod;
  ContainerId id;
  bool terminal = false, stdin_open = false;
};
/// Errors: 404, 400 (several containers: names them).
Reply<PodContainer> find_container(const Exchange& exchange, const std::string& wanted);

/// The answer to a write of an object: itself, its receipt, whether anything changed.
base::Task<Reply<>> answer_written(const Exchange& exchange, int status, const Json& body,
                                   const Written& written,
                                   const std::vector<std::string>& warnings);
/// A Refusal that names the object of the route.
Refusal about(const Exchange& exchange, base::Error error);

}  // namespace nexus::api
